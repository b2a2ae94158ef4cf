package postgres

import "strings"

// PrimaryConnInfo writes the connection as the primary_conninfo of a standby, as pg_basebackup -R does: all parameters in effect but replication and
// fallback_application_name, and from 17 on the database that the connection string, the service or the environment names: the WAL receiver has no use for it,
// the synchronization of logical slots has. serverVersion (Conn.ServerVersion) leaves out what the libpq of that version does not know. A password is in it only if it was
// given in the connection string, the environment or by a person.
func (c *Config) PrimaryConnInfo(serverVersion int) string {
	password, prompted := c.knownPassword()
	var parts []string
	for _, k := range keywords {
		v := c.set[k.name]
		if k.name == "password" {
			v = password
		}
		if k.name == "passfile" && prompted && c.ownPassfile {
			continue // libpq names the default one only when it had to look there
		}
		switch k.name {
		case "dbname", "replication", "fallback_application_name", "service", "servicefile":
			continue
		}
		if v == "" || k.since*10000 > serverVersion {
			continue
		}
		parts = append(parts, k.name+"="+quoteConnValue(v))
	}
	if c.dbname != "" && Major(serverVersion) >= 17 {
		parts = append(parts, "dbname="+quoteConnValue(c.dbname))
	}
	return strings.Join(parts, " ")
}

// knownPassword is the password of a person or of the parameters, not of the password file.
func (c *Config) knownPassword() (password string, prompted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.prompted {
		return c.password, true
	}
	return c.set["password"], false
}
