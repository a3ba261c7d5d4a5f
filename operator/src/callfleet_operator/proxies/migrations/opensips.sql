-- The tables that OpenSIPS 3.4 to 3.6 loads: dispatcher version 9, dialplan version 5.
CREATE TABLE IF NOT EXISTS version (
    table_name VARCHAR(32) NOT NULL UNIQUE,
    table_version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS dispatcher (
    id SERIAL PRIMARY KEY,
    setid INTEGER NOT NULL DEFAULT 0,
    destination VARCHAR(192) NOT NULL DEFAULT '',
    socket VARCHAR(128),
    state INTEGER NOT NULL DEFAULT 0,
    probe_mode INTEGER NOT NULL DEFAULT 0,
    -- one weight that is no number fails the reload of every set
    weight VARCHAR(64) NOT NULL DEFAULT '1' CHECK (weight ~ '^[0-9]{1,5}$'),
    priority INTEGER NOT NULL DEFAULT 0,
    attrs VARCHAR(128) DEFAULT '',
    description VARCHAR(64) DEFAULT '',
    UNIQUE (setid, destination)
);
CREATE TABLE IF NOT EXISTS dialplan (
    id SERIAL PRIMARY KEY,
    dpid INTEGER NOT NULL,
    pr INTEGER NOT NULL DEFAULT 0,
    match_op INTEGER NOT NULL,
    match_exp VARCHAR(64) NOT NULL,
    match_flags INTEGER NOT NULL DEFAULT 0,
    subst_exp VARCHAR(64),
    repl_exp VARCHAR(32),
    timerec VARCHAR(255),
    disabled INTEGER NOT NULL DEFAULT 0,
    attrs VARCHAR(255)
);
