"""What `screen monitor` prints and draws."""
