"""Notifications: what a user should know of, whether or not they are connected (docs/notifications.md).

Entry  one thing to know for one user, raised by an event; unread until its user has seen it.
Inbox  a user's entries, newest first.
"""
