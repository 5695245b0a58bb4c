package ftpclient

// Plausible is for tests.
var Plausible = plausible
