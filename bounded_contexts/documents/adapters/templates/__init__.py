"""Uploaded templates: DOCX and XLSX files with markers, filled in without touching what has none. docs/templates.md"""
