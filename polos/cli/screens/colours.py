"""Which colour means what."""

STATUS_STYLES = {
    "queued": "cyan",
    "running": "bold blue",
    "waiting": "magenta",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "yellow",
}
