package postgres

// RecoveryText is RecoveryConfig for a connection string that is already made (Config.PrimaryConnInfo).
func RecoveryText(serverVersion int, conninfo, slot string) string {
	s := ""
	if !HasStandbySignal(serverVersion) {
		s = "standby_mode = 'on'\n"
	}
	s += "primary_conninfo = '" + escapeConfQuotes(conninfo) + "'\n"
	if slot != "" {
		s += "primary_slot_name = '" + slot + "'\n"
	}
	return s
}
