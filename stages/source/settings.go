package source

import (
	"context"
	"fmt"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// placesQuery asks for directories that the server's settings name. A role that may not see one gets NULL.
const placesQuery = `SELECT pg_catalog.min(setting) FILTER (WHERE name OPERATOR(pg_catalog.=) 'log_directory'),
	pg_catalog.min(setting) FILTER (WHERE name OPERATOR(pg_catalog.=) 'stats_temp_directory'),
	pg_catalog.min(setting) FILTER (WHERE name OPERATOR(pg_catalog.=) 'data_directory') FROM pg_catalog.pg_settings`

// rules returns what the server would leave out of a base backup. Up to 14 it leaves out the contents of stats_temp_directory, and PolarDB 11 all of log_directory:
// these are asked for. What the role may not see is copied, which does no harm.
func (o Options) rules(ctx context.Context, p *messages.Prepared) (Rules, error) {
	ex := postgres.ExcludeOptions{ServerVersion: p.ServerVersion, Polar: p.Polar != nil, SharedStorage: p.Polar != nil && p.Polar.SharedStorage}
	if postgres.Major(p.ServerVersion) >= 15 {
		return NewRules(ex), nil
	}
	conn, err := o.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer postgres.CloseSQL(conn)
	res := conn.ExecParams(ctx, placesQuery, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, fmt.Errorf("could not ask for the server's log_directory and stats_temp_directory: %w", res.Err)
	}
	if len(res.Rows) == 1 && len(res.Rows[0]) == 3 {
		r := res.Rows[0]
		ex.LogDirectory = string(r[0])
		ex.StatsTempDirectory = strings.TrimPrefix(string(r[1]), strings.TrimRight(string(r[2]), "/")+"/")
	}
	return NewRules(ex), nil
}
