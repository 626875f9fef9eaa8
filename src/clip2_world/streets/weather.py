"""Light and weather: what the sun and the sky send, how far one sees, how wet the road is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RAIN, DUSK = 0.12, 0.08
"""Shares of streets with rain and with a low sun."""
HAZE = (0.001, 0.004, 0.009)


@dataclass(frozen=True)
class Weather:
    """Everything that shading needs to know of sun, sky and air.

    Attributes:
        name: words for the scene's description.
        sun: unit vector towards the sun, street frame.
        sun_colour, zenith, horizon: linear RGB of the sun's light and of the sky.
        haze: extinction per metre.
        wet: 0 on dry roads, 1 in the rain.
    """

    name: str
    sun: NDArray[np.float32]
    sun_colour: NDArray[np.float32]
    zenith: NDArray[np.float32]
    horizon: NDArray[np.float32]
    haze: float
    wet: float


def make_weather(rng: np.random.Generator) -> Weather:
    """Random weather: mostly between clear and overcast, sometimes rain, sometimes dusk."""
    kind = rng.choice(["rain", "dusk", "day"], p=[RAIN, DUSK, 1 - RAIN - DUSK])
    elevation = np.radians(rng.uniform(10, 18) if kind == "dusk" else rng.uniform(22, 70))
    azimuth = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    overcast = 0.9 if kind == "rain" else rng.random() ** 2
    exposure = rng.uniform(0.75, 1.1) if kind == "day" else rng.uniform(0.7, 0.85)
    haze = float(rng.choice(HAZE, p=[0.6, 0.3, 0.1]))
    warm = 1 - np.degrees(elevation) / 90
    sun_colour = np.array([1.0, 1 - 0.18 * warm, 1 - 0.4 * warm]) * (1.15 - 0.95 * overcast)
    zenith = _mix(np.array([0.3, 0.5, 0.85]), np.array([0.68, 0.7, 0.73]), overcast)
    horizon = _mix(np.array([0.75, 0.82, 0.9]), np.array([0.8, 0.81, 0.82]), overcast)
    if kind == "dusk":
        horizon = horizon * np.array([1.08, 0.97, 0.86])
    sky = "overcast" if overcast > 0.6 else "clouds" if overcast > 0.25 else "clear sky"
    return Weather(
        name={"rain": "rain", "dusk": f"dusk, {sky}", "day": sky}[str(kind)] + (", haze" if haze > HAZE[1] else ""),
        sun=sun.astype(np.float32),
        sun_colour=(sun_colour * exposure).astype(np.float32),
        zenith=(zenith * exposure).astype(np.float32),
        horizon=(horizon * exposure).astype(np.float32),
        haze=max(haze, HAZE[1]) if kind == "rain" else haze,
        wet=1.0 if kind == "rain" else 0.0,
    )


def _mix(a: NDArray[np.float64], b: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    return a + (b - a) * share
