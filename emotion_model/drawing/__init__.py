"""Results as pictures: boxes and labels, emoji, timelines."""

import logging

# Where the home folder cannot be written to, matplotlib keeps its fonts in a temporary one: nothing users could mend.
logging.getLogger("matplotlib").addFilter(
    lambda record: not str(record.msg).startswith(("mkdir -p failed", "Matplotlib created a temporary"))
)
