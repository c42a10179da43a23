"""Vectors of other tools, in and out. Files themselves are read in `formats`.

layout      which hidden_states row each direction belongs to, and who says so
stated      what the user says of a file
incoming    a file and what the user states -> PersonaVector with its card; amend: a native file and what is stated
outgoing    PersonaVector -> another tool's bytes
"""
