# e2e/test_rollout_all_or_none.py - a change of weight is in force in every worker once its word is answered, or in none.
import sqlite3
import threading

import pytest

from harness import Releases, wait_for

WORKERS = 4
CONNECTIONS = 12
USERS = range(40)
WEIGHTS = [0.05, 0.2, 0.4, 0.7, 1]
STEPS = [{"weight": f"{weight:.0%}", "hold": "1h"} for weight in WEIGHTS]
GUARDRAILS = [{"metric": "error_rate", "max": "50%", "window": "1m"}]


class Moments:
    """Numbers that grow: what has the greater one when it begins, begins later."""

    def __init__(self):
        self.lock, self.count = threading.Lock(), 0

    def next(self):
        with self.lock:
            self.count += 1
            return self.count


class Asker(threading.Thread):
    """One connection that asks for one user after the other; of each request: when it began and was answered, and what by."""

    def __init__(self, proxy, name, moments):
        super().__init__()
        self.client, self.path, self.moments = proxy.client(), f"/{name}", moments
        self.seen, self.failure, self.is_over = [], None, threading.Event()
        self.rounds = 0

    def run(self):
        try:
            while not self.is_over.is_set():
                for user in USERS:
                    began = self.moments.next()
                    answer = self.client.get(self.path, f"x-user: {user}")
                    self.seen.append((began, self.moments.next(), user, answer.body))
                self.rounds += 1
        except Exception as failure:  # told by the test, which waits for rounds
            self.failure = failure


class Traffic:
    """Sticky users on connections to every worker, and the words that change their weight meanwhile."""

    def __init__(self, releases, name):
        self.r, self.name, self.moments = releases, name, Moments()
        self.askers = [Asker(releases.proxy, name, self.moments) for _ in range(CONNECTIONS)]
        releases.client.close()  # those that ask are the only ones
        wait_for(self.is_everywhere, "a connection to every worker")
        self.words = [(0, self.moments.next())]  # as said, as answered

    def is_everywhere(self):
        """The kernel chooses the worker; the admin API tells how many clients each has."""
        workers = self.r.proxy.admin("GET", "/api/v1/status")[1]["workers"]
        clients = [worker["live"]["clients"] for worker in workers]
        if sum(clients) == len(self.askers) and min(clients) == 0:
            self.askers.append(Asker(self.r.proxy, self.name, self.moments))
        return sum(clients) == len(self.askers) and min(clients) > 0

    def __enter__(self):
        for asker in self.askers:
            asker.start()
        self.meet_all()
        return self

    def __exit__(self, *_):
        for asker in self.askers:
            asker.is_over.set()
        for asker in self.askers:
            asker.join()
            asker.client.close()

    def meet_all(self):
        """On each connection each user has been asked for, from now on."""
        wanted = [asker.rounds + 2 for asker in self.askers]

        def is_met():
            failed = [asker.failure for asker in self.askers if asker.failure]
            assert not failed, (failed, self.r.proxy.error_log())
            return all(asker.rounds >= rounds for asker, rounds in zip(self.askers, wanted))

        wait_for(is_met, "every user was asked for on every connection")

    def say(self, what):
        """Returns what `what` does; a change is between the two moments around it."""
        said = self.moments.next()
        found = what()
        self.words.append((said, self.moments.next()))
        self.meet_all()
        return found

    def decided_by(self, began, answered):
        """The words by which a request may have been decided: the first and the last."""
        first = max(i for i, (_, done) in enumerate(self.words) if done < began)
        return first, max(i for i, (said, _) in enumerate(self.words) if said < answered)

    def check(self):
        """[what each user meets, word by word]. Fails where a worker decides by another weight, or goes back to one."""
        met = [{} for _ in self.words]
        between = []
        for asker in self.askers:
            for began, answered, user, side in asker.seen:
                first, last = self.decided_by(began, answered)
                between.append((asker, user, side, first, last))
                if first == last:
                    assert met[first].setdefault(user, side) == side, f"word {first}, user {user}: workers differ"
        newest = dict.fromkeys(self.askers, 0)
        for asker, user, side, first, last in between:
            possible = [word for word in range(first, last + 1) if met[word][user] == side]
            assert possible, f"user {user} met {side}, which no weight from word {first} to {last} says"
            assert possible[-1] >= newest[asker], f"user {user} met {side}: this connection had newer weights before"
            newest[asker] = max(newest[asker], possible[0])
        return met


def exposed(met):
    return {user for user, side in met.items() if side == b"canary"}


def make_traffic(make_origin, start):
    case = {"steps": STEPS, "guardrails": GUARDRAILS, "route": {"sticky": {"header": "x-user"}}, "bake": "1h"}
    return Traffic(Releases(make_origin, start, {"shop": case}, workers=WORKERS), "shop")


@pytest.fixture
def traffic(make_origin, start):
    return make_traffic(make_origin, start)


def test_what_is_answered_is_in_force_in_every_worker(traffic):
    r = traffic.r
    with traffic:
        traffic.say(lambda: r.say("shop", "start"))
        for _ in WEIGHTS[1:]:
            traffic.say(lambda: r.say("shop", "promote"))
        traffic.say(lambda: r.say("shop", "rollback"))
    met = traffic.check()
    assert not exposed(met[0]) and not exposed(met[-1]), "before the start, and after the rollback"
    for lower, higher in zip(met[:-1], met[1:-1]):
        assert exposed(lower) <= exposed(higher), "who has met the canary keeps it while its weight rises"
    assert exposed(met[-2]) == set(USERS) and len({len(exposed(each)) for each in met}) > 3, "the weights were told apart"


def test_what_fails_half_way_changes_no_worker(traffic):
    """A word that cannot be stored, a configuration that cannot be built; and a way back, which needs neither."""
    r, proxy = traffic.r, traffic.r.proxy

    def reload(*steps):
        proxy.config["rollouts"]["shop"]["steps"] = list(steps)
        proxy.write_config()
        return proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[0]

    with traffic:
        traffic.say(lambda: r.say("shop", "start"))
        traffic.say(lambda: r.say("shop", "promote"))
        assert traffic.say(lambda: reload({"weight": "1%"}, {"weight": "nonsense"})) == 422
        locker = sqlite3.connect(proxy.path("state/weir.db"), isolation_level=None)
        locker.execute("BEGIN EXCLUSIVE")
        promoted = traffic.say(lambda: proxy.admin("POST", "/api/v1/rollouts/shop/promote", {"reason": "test"}))
        assert promoted[0] == 503 and promoted[1]["error"]["code"] == "store_unavailable", promoted
        assert r.view("shop")["weight"] == WEIGHTS[1]
        traffic.say(lambda: r.say("shop", "rollback"))
        locker.execute("ROLLBACK")
        locker.close()
        wait_for(lambda: r.view("shop")["state"] == "rolled_back", lambda: r.view("shop"))
    start, promote, refused, unstored, back = traffic.check()[1:]
    assert exposed(start) < exposed(promote), "the weights were told apart"
    assert promote == refused == unstored, "nothing of it is in force"
    assert not exposed(back)
