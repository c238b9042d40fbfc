"""``python -m dbot``, for launchers such as torchrun."""

from dbot.cli import main

raise SystemExit(main())
