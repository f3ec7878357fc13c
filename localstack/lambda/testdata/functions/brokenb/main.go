// Brokenb is made of a package that does not compile.
package main

import "github.com/duet-chat/duet/localstack/lambda/testdata/brokenlib"

func main() { println(brokenlib.Missing) }
