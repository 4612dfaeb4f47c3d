"""The only reader and writer of HDF5: trusted sources, staged inputs, untrusted predictions.

Import the module you need; this package imports nothing, so that the confined reader stays small.
"""
