-- What Callfleet knows of the proxy's tables: who leads, which set id and numbers an agent has, and
-- which rows of dispatcher and dialplan are ours. A row that is not listed here is never touched.
CREATE TABLE callfleet.installations (
    installation TEXT NOT NULL,
    proxy TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    PRIMARY KEY (installation, proxy)
);
CREATE TABLE callfleet.agents (
    installation TEXT NOT NULL,
    proxy TEXT NOT NULL,
    uid TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    set_id INTEGER NOT NULL UNIQUE,
    since TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (installation, proxy, uid)
);
-- Set ids that were given back. They rest, so that a call that was looked up under the old agent
-- never meets the next one's pods.
CREATE TABLE callfleet.freed_sets (
    set_id INTEGER PRIMARY KEY,
    installation TEXT NOT NULL,
    proxy TEXT NOT NULL,
    uid TEXT NOT NULL,
    freed_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE callfleet.numbers (
    number TEXT PRIMARY KEY CHECK (number ~ '^\+?[0-9]{2,20}$'),
    installation TEXT NOT NULL,
    proxy TEXT NOT NULL,
    uid TEXT NOT NULL,
    dialplan_id INTEGER NOT NULL UNIQUE,
    since TIMESTAMPTZ NOT NULL DEFAULT now(),
    FOREIGN KEY (installation, proxy, uid) REFERENCES callfleet.agents
);
CREATE TABLE callfleet.destinations (
    installation TEXT NOT NULL,
    proxy TEXT NOT NULL,
    uid TEXT NOT NULL,
    uri TEXT NOT NULL,
    pod_uid TEXT NOT NULL,
    dispatcher_id INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (installation, proxy, uid, uri),
    FOREIGN KEY (installation, proxy, uid) REFERENCES callfleet.agents
);
-- One row of the dialplan that counts the changes of the numbers.
CREATE TABLE callfleet.revision (
    one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    revision BIGINT NOT NULL,
    dialplan_id INTEGER
);
INSERT INTO callfleet.revision (revision) VALUES (0);
