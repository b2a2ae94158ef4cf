package postgres

// keyword is one of libpq's connection parameters (PQconninfoOptions in fe-connect.c).
type keyword struct {
	name  string
	env   string // environment variable that gives the default
	value string // compiled-in default
	since int    // first major version whose libpq knows it, 0 for 11 and before; for PrimaryConnInfo
	// startup is the parameter of the start-up message, for those that only the server understands.
	startup string
	// refused says that a value other than the default must not be ignored silently, and is not supported here.
	refused bool
}

// keywords are in libpq's order, which is also the order of the primary_conninfo that pg_basebackup -R writes.
var keywords = []keyword{
	{name: "service", env: "PGSERVICE"},
	{name: "user", env: "PGUSER"},
	{name: "password", env: "PGPASSWORD"},
	{name: "passfile", env: "PGPASSFILE"},
	{name: "channel_binding", env: "PGCHANNELBINDING", value: "prefer", since: 13},
	{name: "connect_timeout", env: "PGCONNECT_TIMEOUT"},
	{name: "dbname", env: "PGDATABASE"},
	{name: "host", env: "PGHOST"},
	{name: "hostaddr", env: "PGHOSTADDR"},
	{name: "port", env: "PGPORT", value: "5432"},
	{name: "client_encoding", env: "PGCLIENTENCODING", startup: "client_encoding"},
	{name: "options", env: "PGOPTIONS", startup: "options"},
	{name: "application_name", env: "PGAPPNAME", startup: "application_name"},
	{name: "fallback_application_name"},
	{name: "keepalives"},
	{name: "keepalives_idle"},
	{name: "keepalives_interval"},
	{name: "keepalives_count"},
	{name: "tcp_user_timeout", since: 12},
	{name: "sslmode", env: "PGSSLMODE", value: "prefer"},
	{name: "sslnegotiation", env: "PGSSLNEGOTIATION", value: "postgres", since: 17},
	{name: "sslcompression", env: "PGSSLCOMPRESSION", value: "0"},
	{name: "sslcert", env: "PGSSLCERT"},
	{name: "sslkey", env: "PGSSLKEY"},
	{name: "sslcertmode", env: "PGSSLCERTMODE", value: "allow", since: 16},
	{name: "sslpassword", since: 13},
	{name: "sslrootcert", env: "PGSSLROOTCERT"},
	{name: "sslcrl", env: "PGSSLCRL"},
	{name: "sslcrldir", env: "PGSSLCRLDIR", since: 14},
	{name: "sslsni", env: "PGSSLSNI", value: "1", since: 14},
	{name: "requirepeer", env: "PGREQUIREPEER"},
	{name: "require_auth", env: "PGREQUIREAUTH", since: 16},
	{name: "min_protocol_version", env: "PGMINPROTOCOLVERSION", since: 18},
	{name: "max_protocol_version", env: "PGMAXPROTOCOLVERSION", since: 18},
	{name: "ssl_min_protocol_version", env: "PGSSLMINPROTOCOLVERSION", value: "TLSv1.2", since: 13},
	{name: "ssl_max_protocol_version", env: "PGSSLMAXPROTOCOLVERSION", since: 13},
	{name: "gssencmode", env: "PGGSSENCMODE", value: "prefer", since: 12},
	{name: "krbsrvname", env: "PGKRBSRVNAME", value: "postgres"},
	{name: "gsslib", env: "PGGSSLIB"},
	{name: "gssdelegation", env: "PGGSSDELEGATION", value: "0", since: 16},
	{name: "replication"},
	{name: "target_session_attrs", env: "PGTARGETSESSIONATTRS", value: "any"},
	{name: "load_balance_hosts", env: "PGLOADBALANCEHOSTS", value: "disable", since: 16},
	{name: "scram_client_key", since: 18, refused: true},
	{name: "scram_server_key", since: 18, refused: true},
	{name: "oauth_issuer", since: 18, refused: true},
	{name: "oauth_client_id", since: 18, refused: true},
	{name: "oauth_client_secret", since: 18, refused: true},
	{name: "oauth_scope", since: 18, refused: true},
	{name: "sslkeylogfile", since: 18, refused: true},
	{name: "servicefile", env: "PGSERVICEFILE", since: 18},
}

// startupEnv are the environment variables that libpq turns into settings of the session (EnvironmentOptions in fe-connect.c).
var startupEnv = []struct{ env, setting string }{
	{"PGDATESTYLE", "datestyle"},
	{"PGTZ", "timezone"},
	{"PGGEQO", "geqo"},
}

func findKeyword(name string) *keyword {
	for i := range keywords {
		if keywords[i].name == name {
			return &keywords[i]
		}
	}
	return nil
}
