"""Event streams: arrays of t, x, y, p, frames of them, and changes to them."""

from speckflex.events.streams import EVENT_DTYPE, as_events, make_events

__all__ = ["EVENT_DTYPE", "as_events", "make_events"]
