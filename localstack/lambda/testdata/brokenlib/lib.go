// Package brokenlib does not compile.
package brokenlib

var Missing = nowhere
