if x:
 for y in z:
  while True:
   with a as b:
    class C:
     def f(self):
      if x:
       for y in z:
        while True:
         with a as b:
          class C:
           def f(self):
            if x:
             for y in z:
              while True:
               with a as b:
                class C:
                 def f(self):
                  pass
v = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
w = ((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))
u = ------------------------------1
t = a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.a(b.c)))))))))))))))
l = lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: lambda: 0
c = 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1 if x else 1
