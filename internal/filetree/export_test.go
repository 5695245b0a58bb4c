package filetree

// WindowsName is what Windows is asked of a name, for tests on every system.
var WindowsName = windowsName
