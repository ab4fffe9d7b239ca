"""Where the data sets come from: addresses, checksums and converters of the original files."""
