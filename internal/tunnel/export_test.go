package tunnel

// Flush pushes out what was written to the link's TLS connection directly.
func Flush(l *Link) (bool, error) { return l.wire.flush() }
