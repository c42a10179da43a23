"""Files of untrusted bytes, one module a format: bytes in, places of arrays out, and the reverse.

The readers are plain Python, without numpy, so that the child process that runs them starts in milliseconds; why not
torch, numpy and safetensors: docs/decisions/0012.

    arrays      what a reader finds: named arrays as places in the bytes, and what else the file says
    container   what kind of file it is, by its bytes
    pt          a `.pt` of torch.save, by `zipped` (the container) and `pickled` (the few opcodes of plain tensors)
    gguf, npy (and .npz), safetensors
    sandbox     bytes -> arrays, by way of `child`, the process with limits
"""
