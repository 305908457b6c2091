"""One recording, the same for every tool and every version of numpy: plain integers in lists."""

WIDTH, HEIGHT, N_EVENTS = 320, 240, 400


def rows() -> list[tuple[int, int, int, int]]:
    """Return (t in µs, x, y, p) of each event, in order of time.

    Two events in three follow within 15 µs, some at once; there are gaps of up to 0.02 s, so that
    every format writes its overflows. x and y reach the edges of the sensor.
    """
    state, time, found = 12345, 0, []
    for index in range(N_EVENTS):
        drawn = []
        for _ in range(4):
            state = (1103515245 * state + 12345) % 2**31
            drawn.append(state >> 12)
        gap = drawn[0] % 16 if index % 3 else drawn[0] % 20_000
        time += gap
        found.append((time, drawn[1] % WIDTH, drawn[2] % HEIGHT, drawn[3] % 2))
    found[7] = (found[7][0], WIDTH - 1, HEIGHT - 1, 1)
    found[8] = (found[8][0], 0, 0, 0)
    return found
