"""NXmx data sets in HDF5: a master file and files of frames."""
