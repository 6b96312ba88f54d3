"""bench/lib/reload.py - scenario reload: weir reads 10,000 routes again and again while it works."""

from statistics import median

from lib import admin, figures, load, routes
from lib.bench import say
from lib.report import Section

WORKERS = 2
# Memory is compared over two stretches: early, once the allocator has seen a few generations come
# and go, and at the end.
WARM_SHARE = 0.1
FLAT = 1.05


def reload_under_load(bench, weir, count):
    """(what wrk saw, swap times of each worker by reload, RSS by reload)."""
    swaps, rss = [], []
    script = routes.write_script(bench)
    how = {"routes": routes.text(), "workers": WORKERS, "patience_s": 30}
    with weir.running(bench, **how) as proxy, load.EndlessWrk(bench, proxy.port, script=script) as wrk:
        reloader = admin.Reloader(proxy)
        for number in range(count):
            reloader.reload()
            swaps.append(admin.swap_us(proxy))
            rss.append(proxy.process.memory()["Rss"])
            if (number + 1) % 50 == 0:
                say(f"reload {number + 1}/{count}: RSS {rss[-1] >> 10} KiB")
        seen = wrk.stop()
    return seen, swaps, rss


def memory_growth(rss):
    """The last tenth against the second tenth."""
    tenth = max(1, round(len(rss) * WARM_SHARE))
    return median(rss[-tenth:]) / median(rss[tenth : 2 * tenth] or rss)


def run_reload(bench, peers):
    section = Section(
        "reload",
        f"{bench.options.reloads:,} reloads of {routes.ROUTES:,} routes under load, {WORKERS} workers.",
        ["figure", "value"],
    )
    weir = next((peer for peer in peers if peer.name == "weir"), None)
    if not weir:
        section.note("weir is not there: not measured")
        return section
    seen, swaps, rss = reload_under_load(bench, weir, bench.options.reloads)
    by_worker = [sorted(worker) for worker in zip(*swaps)]
    section.add("requests", seen.requests)
    section.add("failed requests", seen.failed)
    section.add("p99 ms while reloading", f"{seen.p99_us / 1000:.2f}")
    for index, values in enumerate(by_worker):
        section.add(f"swap µs on worker {index}, median", f"{median(values):.0f}")
        section.add(f"swap µs on worker {index}, p99", f"{load.percentile(values, 0.99):.0f}")
        section.add(f"swap µs on worker {index}, highest", f"{values[-1]:.0f}")
    section.add("RSS after the first reload, KiB", rss[0] >> 10)
    section.add("RSS after the last reload, KiB", rss[-1] >> 10)
    section.void = 1 if seen.failed else 0
    section.target(figures.judge("reload/failed", 0, [seen.failed]))
    slowest = max(load.percentile(values, 0.99) for values in by_worker)
    section.target(figures.judge("reload/swap", 1000, [slowest], " µs"))
    section.target(figures.judge("reload/memory", FLAT, [memory_growth(rss)]))
    return section
