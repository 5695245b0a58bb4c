package config

// UnservedRows is how many things this version does not serve.
var UnservedRows = len(unserved)
