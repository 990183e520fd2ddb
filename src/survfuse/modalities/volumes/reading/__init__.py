"""Reading volumes of any format: NIfTI, NRRD, DICOM."""
