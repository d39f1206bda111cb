"""Identity: who somebody is, and what they may do (docs/identity.md).

User        an account: name, address, roles; blocked or not; erased for good. An aggregate.
Session     what signing in opens: one device, refreshed until it ends or is revoked. An aggregate.
Address     an email address as it is compared: without surrounding space, the domain in lower case, all folded.
Login       an account at a provider, by which a user signs in (OpenID Connect).
Credential  a password's hash. Never in an event.
Vault       each user's key, under which what is personal lies in events. Without it nobody reads them.
"""
