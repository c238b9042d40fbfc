"""Teachers, one kind a file, behind one interface: pixels in, frozen tokens on the student's grid out."""
