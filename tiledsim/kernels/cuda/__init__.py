"""The CUDA kernel, compiled by NVRTC and driven through CuPy."""
