"""API methods written once, as flows, and called in two ways.

A resource's methods are generator functions under `@endpoint` (one result) or functions under
`@listing` (rows page by page). Reached through a synchronous resource they return the result,
through an asynchronous one an awaitable of it; both are typed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from llm_cost_ops.client.caller import Caller
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.transport import AsyncDriver, SyncDriver, Walk

P = ParamSpec("P")
T = TypeVar("T")


class SyncResource:
    """A group of API methods on the synchronous client."""

    def __init__(self, caller: Caller, driver: SyncDriver) -> None:
        self._caller = caller
        self._driver = driver


class AsyncResource:
    """A group of API methods on the asynchronous client."""

    def __init__(self, caller: Caller, driver: AsyncDriver) -> None:
        self._caller = caller
        self._driver = driver


class endpoint(Generic[P, T]):
    """One call to the API. `.flow` is the undecorated generator function."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self.flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: SyncResource, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, instance: AsyncResource, owner: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, instance: SyncResource | AsyncResource | None, owner: type) -> Any:
        if instance is None:
            return self
        flow, run = self.flow, instance._driver.run  # pyright: ignore[reportPrivateUsage]

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return run(flow(instance, *args, **kwargs))

        return update_wrapper(call, flow)


class listing(Generic[P, T]):
    """Rows page by page: an iterator on the synchronous client, an async iterator on the other."""

    def __init__(self, walk: Callable[Concatenate[Any, P], Walk[T]]) -> None:
        self.walk = walk
        self.__doc__ = walk.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: SyncResource, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, instance: AsyncResource, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, instance: SyncResource | AsyncResource | None, owner: type) -> Any:
        if instance is None:
            return self
        walk, iterate = self.walk, instance._driver.iterate  # pyright: ignore[reportPrivateUsage]

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return iterate(walk(instance, *args, **kwargs))

        return update_wrapper(call, walk)
