"""Gradio app of the explorer: answers to the page, and the frame around it."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Callable

import gradio
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from ..errors import InputError
from . import answers, description
from .assets import script, style
from .collection import Collection
from .own_host import OwnHostOnly
from .server import HOST

FONT = ["system-ui", "sans-serif"]  # of this machine; Gradio's own themes ask a font server
START = "explore(element.querySelector('#explorer'), serverSource(server));"
Question = dict[str, Any]


def build_app(collection: Collection) -> ASGIApp:
    """Return the app of some models and images, which no server serves yet."""

    def describe(question: Question) -> Any:
        return description.describe(collection)

    def look(question: Question) -> Any:
        return answers.look(collection, **question)

    def attention(question: Question) -> Any:
        return answers.attention(collection, **question)

    def nearest(question: Question) -> Any:
        return answers.nearest(collection, **question)

    def add(question: Question) -> Any:
        try:
            content = base64.b64decode(question["content"], validate=True)
        except binascii.Error as error:
            raise InputError(f"{question['name']!r} arrived damaged ({error}): drop it again") from error
        return dict(index=collection.add(question["name"], content), images=description.pictures(collection))

    with gradio.Blocks(title="Prompt explorer", analytics_enabled=False) as blocks:
        gradio.HTML(
            html_template='<div id="explorer"></div>',
            js_on_load=START,
            server_functions=[_told(each) for each in (describe, look, attention, nearest, add)],
            apply_default_css=False,
        )
    app = gradio.mount_gradio_app(
        FastAPI(openapi_url=None),
        blocks,
        path="",
        server_name=HOST,
        footer_links=[],
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=gradio.themes.Base(font=FONT, font_mono=FONT),
        head=f"<style>{style()}</style><script>{script()}</script>",
    )
    return OwnHostOnly(TrustedHostMiddleware(app, [HOST, "localhost"]))  # other names are another site's trick


def _told(answer: Callable[[Question], Any]) -> Callable[[Question], Any]:
    """Let a function answer a wrong input with ``problem``, its message."""

    def told(question: Question) -> Any:
        try:
            return answer(question)
        except InputError as error:
            return dict(problem=str(error))

    told.__name__ = answer.__name__  # by which the page calls it
    return told
