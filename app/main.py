"""The lab's entry: `streamlit run app/main.py`. The pages, and beside them a few read-only routes."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `streamlit run app/main.py` knows the folder app only

from app.routes import ROUTES  # noqa: E402 - after the path is set
from app.services import inference_worker  # noqa: E402


@asynccontextmanager
async def _lifespan(_app: st.App) -> AsyncIterator[None]:
    yield
    inference_worker().close()


app = st.App(str(ROOT / "app" / "navigation.py"), routes=ROUTES, lifespan=_lifespan)
