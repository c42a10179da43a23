"""The Triton kernels. Importing a module of this folder imports triton; the modules above do so only to launch.

Sizes that change from batch to batch are not specialised on, so that a new batch compiles nothing.
"""
