package config

// checker looks at what no single value shows: whether the parts of a document
// fit together. It sees the document with its defaults.
type checker struct {
	doc    *Document
	faults Faults
}

func (c *checker) fault(path, hint, format string, args ...any) {
	c.faults = append(c.faults, c.doc.Fault(path, hint, format, args...))
}

func (c *checker) warn(path, hint, format string, args ...any) {
	f := c.doc.Fault(path, hint, format, args...)
	f.Warning = true
	c.faults = append(c.faults, f)
}

func (c *checker) document() {

}
