"""The rooms: one package per bounded context, none imports another."""
