"""The sections of the report: three files a section, of one name. Their order is in order.py."""
