"""What stands in a record, whatever its shape: fields, messages, role marks; and the builders that shapes share."""
