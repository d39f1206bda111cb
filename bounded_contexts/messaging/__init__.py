"""Messaging: people and services talk one to one or in groups (docs/messaging.md).

Conversation  who may speak to whom. Direct: its id follows from its members, who never change. Group: members come and go.
Message       something a member said: a fact, ordered within its conversation. It may be edited and deleted.
Member        a user or service as seen by this context: only an id.
Participants  the sorted ids of a direct conversation's members.
"""
