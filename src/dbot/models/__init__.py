"""Networks: the plain ViT, the students around it, teachers, the classifier, and their files."""
