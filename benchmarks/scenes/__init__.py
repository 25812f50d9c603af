"""Our own engine in one situation each, beside its floor: the least that it can take."""
