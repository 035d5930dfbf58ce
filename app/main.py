"""The lab's entry: `streamlit run app/main.py`. The pages, and beside them a few read-only routes."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pandas  # noqa: F401 - imported by two first pages at once, it would be half there for one of them
import streamlit as st
from starlette.middleware import Middleware

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `streamlit run app/main.py` knows the folder app only

from app.auth import check_sign_in, must_sign_in, signed_in  # noqa: E402
from app.auth_middleware import AuthMiddleware  # noqa: E402 - after the path is set
from app.fair_share import FairShareMiddleware  # noqa: E402
from app.routes import ROUTES  # noqa: E402
from app.services import inference_worker, keep_uploads_small, warm_up  # noqa: E402
from app.start_token import announce, start_token  # noqa: E402
from app.widgets import show_fault  # noqa: E402
from core.auth import set_current_user  # noqa: E402
from core.errors import LabError  # noqa: E402
from core.paths import only_the_data_folder  # noqa: E402

os.umask(os.umask(0o077) | 0o077)  # runs, pictures and masks are no business of the machine's other accounts
set_current_user(signed_in)
try:
    check_sign_in()
    start_token()
except LabError as error:
    sys.exit(f"The lab did not start. {error}")
if must_sign_in():
    only_the_data_folder()  # the home of the account that serves others is not theirs to read
    keep_uploads_small()


@asynccontextmanager
async def _lifespan(_app: st.App) -> AsyncIterator[None]:
    announce()
    warm_up()
    yield
    inference_worker().close()


app = st.App(
    str(ROOT / "app" / "navigation.py"),
    routes=ROUTES,
    middleware=[Middleware(AuthMiddleware), Middleware(FairShareMiddleware)],
    lifespan=_lifespan,
    on_script_error=show_fault,
)
