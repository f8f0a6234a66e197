"""Layouts over the one device: what JAX's programs write for several runs, and what needs more is refused."""

import inspect

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.sharding import Mesh, NamedSharding, SingleDeviceSharding
from funcgrad.sharding import PartitionSpec as P

X = np.arange(8.0).reshape(4, 2)


@pytest.fixture
def mesh():
    return fg.make_mesh((1, 1), ("data", "model"))


def test_devices_say_what_they_are():
    (device,) = fg.devices()
    assert (device, device.platform, device.device_kind, device.id) == ("cpu", "cpu", "cpu", 0)
    assert fg.local_devices(process_index=0) == [device] and jnp.ones(2).devices() == {device}
    assert isinstance(device, fg.Device)


def test_arrays_and_compiled_functions_take_layouts(mesh):
    layout = NamedSharding(mesh, P("data", None))
    x = fg.device_put({"x": X, "n": 1}, {"x": layout, "n": NamedSharding(mesh, P())})
    np.testing.assert_array_equal(x["x"], X)
    with mesh:
        f = fg.jit(
            lambda x: fg.lax.with_sharding_constraint(2 * x, layout),
            in_shardings=layout,
            out_shardings=layout,
        )
        np.testing.assert_array_equal(f(X), 2 * X)
    assert jnp.ones(2).sharding == SingleDeviceSharding() and layout.is_fully_replicated
    assert layout == NamedSharding(Mesh([fg.devices()], ("data", "model")), P("data", None))


def test_shard_map_names_the_axes_of_the_mesh(mesh):
    def f(x, y):
        return fg.lax.pmean((x @ y).sum(), "data"), x + fg.lax.axis_index("model")

    mapped = fg.shard_map(f, mesh=mesh, in_specs=(P("data"), P()), out_specs=(P(), P("data")))
    y = np.ones((2, 3))
    total, moved = fg.jit(mapped)(X, y)
    np.testing.assert_array_equal(total, (X @ y).sum())
    np.testing.assert_array_equal(moved, X)
    np.testing.assert_array_equal(fg.grad(lambda x: mapped(x, y)[0])(X), np.full((4, 2), 3))


def test_what_needs_several_devices_is_refused(mesh):
    with pytest.raises(ArgumentError, match=r"shape \(2, 4\) needs 8 devices; there is 1"):
        fg.make_mesh((2, 4), ("a", "b"))
    with pytest.raises(ArgumentError, match="has 2 axes"):
        Mesh([fg.devices()], ("a",))
    with pytest.raises(ArgumentError, match="names the axis 'batch', and the mesh has 'data', 'model'"):
        NamedSharding(mesh, P("batch"))
    with pytest.raises(ShapeError, match="has 3 entries"):
        fg.device_put(X, NamedSharding(mesh, P("data", None, "model")))
    with pytest.raises(ArgumentError, match="no device 'gpu'"):
        fg.device_put(X, "gpu")
    with pytest.raises(ArgumentError, match="needs a mesh"):
        fg.shard_map(lambda x: x, in_specs=P(), out_specs=P())
    with pytest.raises(ArgumentError, match="names the axis 'nope'"):
        fg.shard_map(lambda x: x, mesh=mesh, in_specs=(P(),), out_specs=P("nope"))
    with pytest.raises(ArgumentError, match="1 in_specs, and is called with 2 arguments"):
        fg.shard_map(lambda x, y: x, mesh=mesh, in_specs=(P(),), out_specs=P())(X, X)
    with pytest.raises(ShapeError, match="has 3 entries"):
        fg.shard_map(lambda x: x, mesh=mesh, in_specs=(P("data", None, "model"),), out_specs=P())(X)
    with pytest.raises(ArgumentError, match="no process 3"):
        fg.local_devices(process_index=3)


def test_random_numbers_take_an_out_sharding():
    key, there = fg.random.key(0), fg.typeof(jnp.zeros(3)).sharding
    for draw in (fg.random.normal, fg.random.exponential, fg.random.bits):
        assert (draw(key, (3,), out_sharding=there) == draw(key, (3,))).all()
        assert "out_sharding" in inspect.signature(draw).parameters
    with pytest.raises(ArgumentError, match="normal takes a device or a sharding, got int"):
        fg.random.normal(key, (3,), out_sharding=3)
