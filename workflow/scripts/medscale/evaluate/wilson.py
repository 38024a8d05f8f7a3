"""Wilson's interval of a share, for accuracies and counts."""

import math

Z95 = 1.959963984540054  # standard normal quantile of 0.975


def wilson_interval(right: float, n: int, z: float = Z95) -> tuple[float, float] | None:
    """Return Wilson's score interval of a proportion.

    Its coverage is near the nominal one for small n and for shares near 0 and 1, where the normal one's is not (Wilson
    1927, JASA 22:209-212; Brown, Cai and DasGupta 2001, Statistical Science 16:101-133, who recommend it).

    Args:
        right: successes.
        n: trials.
        z: normal quantile; default that of 95 %.

    Returns:
        The lower and the upper end, between 0 and 1; None without trials.
    """
    if not n:
        return None
    share = right / n
    middle, width = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * width) / (1 + z * z / n) for sign in (-1, 1))
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # rounding puts no share outside
