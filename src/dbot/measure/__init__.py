"""Numbers from a frozen network and a data set: k-NN, a linear classifier, attention distance, singular values, linear CKA."""
