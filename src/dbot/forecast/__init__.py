"""What a plan will cost, from its figures alone: images, FLOPs, hours, disk, money and energy. Loads no torch."""
