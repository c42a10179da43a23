"""The known shapes of rows, a file each: `find` recognises a record, `build` makes its samples. Order: forms.py."""
