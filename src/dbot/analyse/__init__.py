"""What a trained network does inside: how far it attends, how varied its tokens are, how like another's they are."""
